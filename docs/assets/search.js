// An error's text, pasted as it is: its colons and signs are no operators of a query.
document.addEventListener("input", ({ target }) => {
  if (!target.matches("[data-md-component=search-query]")) return;
  const plain = target.value.replace(/[:~^*+\-"]/g, " ");
  if (plain !== target.value) target.value = plain;
}, true);
