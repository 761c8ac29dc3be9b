// Sets dark or light before anything is painted: what was chosen with the button, else dark on the wall and what the system
// prefers on all other pages.
"use strict";
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // storage is switched off: the system decides
    }
  };
  const isWall = location.pathname === "/wall";
  const apply = () => {
    document.documentElement.dataset.theme = chosen() ?? (isWall || system.matches ? "dark" : "light");
  };
  apply();
  system.addEventListener("change", apply);
})();
