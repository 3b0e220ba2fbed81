"""One file a game: its columns, and how tables, pages and the gate treat them. Nothing here imports torch."""

from invbench.sheets._finding import Clash, broken_metrics, columns, every_sheet, forget, metric_of, sheet_of

__all__ = ["Clash", "broken_metrics", "columns", "every_sheet", "forget", "metric_of", "sheet_of"]
