// Before the first paint: the theme and language chosen earlier, so that nothing flashes. (A file of its own, since
// a content security policy without inline scripts is the safer one.)
(function () {
  try {
    var theme = localStorage.getItem("allthings.theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    var language = localStorage.getItem("allthings.language");
    if (language === "zh") document.documentElement.lang = "zh-CN";
  } catch {
    // Storage is forbidden: the system's own preferences hold.
  }
})();
