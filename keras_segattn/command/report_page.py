"""The HTML frame of a run's report, with embedded pictures: nothing is fetched."""

SECTION = "<section><h2>{title}</h2>{content}</section>\n"
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto;
  padding: 0 1rem; }}
img {{ max-width: 100%; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: .15rem .8rem; border-bottom: 1px solid #ccc; text-align: right; }}
th:first-child {{ text-align: left; font-weight: normal; }}
pre {{ background: #f4f4f4; padding: .8rem; overflow-x: auto; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{summary}</p>
{body}</body>
</html>
"""
