// The answer to the application is a form. Send it without waiting for somebody to press the button.

const form = document.getElementById("form-post");
if (form instanceof HTMLFormElement) {
  form.submit();
}
