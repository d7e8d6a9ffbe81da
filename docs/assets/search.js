// The text of an error, pasted as it is: its signs are no operators of a query, and its
// words are cut as those of the pages are (`separator` in mkdocs.yml).
document.addEventListener("input", ({ target }) => {
  if (!target.matches("[data-md-component=search-query]")) return;
  const words = target.value.replace(/[^\w.\s]+|\.(?=[^\w]|$)|(?<=\D)\./g, " ");
  if (words !== target.value) target.value = words;
}, true);
