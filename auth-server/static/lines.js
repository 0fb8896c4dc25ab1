// Puts the numbers of the lines beside a text, and the cursor where a report says that something is wrong.
// Without this module the report shows the lines themselves.

const digits = (count) => Math.max(2, String(count).length);

for (const editor of document.querySelectorAll("[data-lines]")) {
  const text = editor.querySelector("textarea");
  if (text) {
    addRuler(editor, text);
  }
}

for (const link of document.querySelectorAll("a[data-editor]")) {
  link.addEventListener("click", (event) => {
    const text = document.getElementById(link.dataset.editor);
    if (text instanceof HTMLTextAreaElement) {
      event.preventDefault();
      goTo(text, Number(link.dataset.line), Number(link.dataset.column));
    }
  });
}

// A link from another page names a line of the rules.
const wanted = Number(new URLSearchParams(location.search).get("line"));
const rules = document.getElementById("rules");
if (wanted > 0 && rules instanceof HTMLTextAreaElement) {
  goTo(rules, wanted, 1);
}

function addRuler(editor, text) {
  const ruler = document.createElement("div");
  ruler.className = "ruler";
  ruler.setAttribute("aria-hidden", "true");
  const numbers = document.createElement("span");
  ruler.append(numbers);
  let shown = 0;
  const count = () => {
    const lines = text.value.split("\n").length;
    if (lines !== shown) {
      shown = lines;
      numbers.textContent = Array.from({ length: lines }, (_, line) => line + 1).join("\n");
      ruler.style.inlineSize = `calc(${digits(lines)}ch + 1rem)`;
    }
  };
  const follow = () => {
    numbers.style.transform = `translateY(${-text.scrollTop}px)`;
  };
  text.addEventListener("input", () => {
    count();
    follow();
  });
  text.addEventListener("scroll", follow, { passive: true });
  editor.prepend(ruler);
  editor.classList.add("ruled");
  count();
  follow();
}

function goTo(text, line, column) {
  const before = text.value.split("\n").slice(0, line - 1);
  const start = before.reduce((sum, passed) => sum + passed.length + 1, 0);
  const end = text.value.indexOf("\n", start);
  const last = end < 0 ? text.value.length : end;
  // Columns count characters, and the text counts the halves of those beyond the first 65,536.
  const passed = [...text.value.slice(start, last)].slice(0, column - 1).join("").length;
  text.focus();
  text.setSelectionRange(start + passed, last);
  const height = text.scrollHeight / text.value.split("\n").length;
  text.scrollTop = Math.max(0, (line - 4) * height);
}
