"""The doctor: looks at a lab's files, its data set and the project before anything is run (docs/doctor.md)."""
