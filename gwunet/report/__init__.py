"""One HTML page that shows a dataset, its plan, its training and its results."""

from gwunet.report.page import write_report

__all__ = ["write_report"]
