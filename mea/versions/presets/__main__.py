"""``python -m mea.versions.presets``."""

from mea.versions.presets import main

if __name__ == "__main__":
    main()
