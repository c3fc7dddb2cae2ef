"""Names of a card's files and page; apart, so that whoever shows a card need not write one."""

JSON_FILE, PAGE_FILE = "model_card.json", "model_card.html"


def card_page(pipeline: str, version: int) -> str:
    """Where a browser sees a version's card, below Airflow's address."""
    return f"/nightshift/cards/{pipeline}/{version}"
