"""Results to look at: one HTML file without network, parts for servers' pages, and pictures.

The page is drawn in the browser, from the JSON that `AskResult` and `Decision` have. Results hand
themselves over (`AskResult._repr_html_`), so this room knows their types for type checkers alone.
"""

from et_agent.pages.html import drawing_module, drawing_style, notebook_html, result_page
from et_agent.pages.pictures import draw_tree_picture

__all__ = [
    "draw_tree_picture",
    "drawing_module",
    "drawing_style",
    "notebook_html",
    "result_page",
]
