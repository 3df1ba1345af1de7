"""The page of new recordings."""

from builders.pages import names_shown, run_stage

from mea.runtime.tables import read_table


def test_new_recordings_are_predicted_or_rejected_with_the_reason(hostile_lab, open_page):
    page = open_page("new.html")
    calls = read_table(hostile_lab / "metrics/classify.csv").set_index("recording")
    assert set(calls.index) == {"good", "slow", "bad"} == set(names_shown(page))
    rejected = (calls["decision"] == "rejected").sum()
    assert f"and {rejected} rejected" in page.locator("#headline").inner_text()
    row = page.locator("tr.row", has_text="slow")
    assert "sampling rate: recorded at 10000 Hz, not at 25000 Hz" in row.inner_text()
    row.locator(".open").click()
    assert "probability of a" in page.locator("tr.detail").inner_text()
    page.locator("select[data-filter=decision]").select_option("rejected")
    assert len(names_shown(page)) == rejected


def test_without_new_recordings_the_page_says_what_to_do(changed, open_page):
    classified = changed / "metrics/classify.csv"
    classified.write_bytes(classified.read_bytes().split(b"\n")[0] + b"\n")
    run_stage("report", changed, "report.explain=0")
    page = open_page("new.html")
    assert "No new recording was classified" in page.inner_text("main") and "dvc repro" in page.inner_text("main")
