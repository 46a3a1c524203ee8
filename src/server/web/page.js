// Shows the page anew every two seconds, as it is on the server by then. What is open stays open; while
// something is selected, or the daemon does not answer, the page stays as it is.
"use strict";
const showAnew = async () => {
  if (document.hidden || !getSelection().isCollapsed) return;
  try {
    const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const now = document.querySelector("main");
    const then = page.querySelector("main");
    for (const open of now.querySelectorAll("details[open]")) {
      then.querySelector("#" + CSS.escape(open.id))?.setAttribute("open", "");
    }
    now.replaceWith(then);
    document.title = page.title;
    document.body.className = "live";
  } catch {
    document.body.className = "lost";
  }
};
const goOn = () => setTimeout(() => showAnew().finally(goOn), 2000);
goOn();
