// The form to sign in: leads back to the page that was asked for.
"use strict";
if (location.pathname !== "/sign-in") document.querySelector("[name=next]").value = location.pathname + location.search;

// A browser that followed a link of another site (a message) has kept its cookie back; asked from here it gives it.
fetch("/api/session").then(({ ok }) => ok && location.pathname !== "/sign-in" && location.reload());
