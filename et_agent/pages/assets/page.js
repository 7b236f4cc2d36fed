// Puts the page together from its data: {result, decision}, as `AskResult` and `Decision` in JSON.

const { result, decision } = JSON.parse(document.getElementById("data").textContent);
const page = document.getElementById("page");
page.append(prose(result.question, "h1", "text"));
drawResult(page, result, decision, document.getElementById("tip"));
