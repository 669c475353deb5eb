// Whatever goes wrong from the start.
const faults = [];
const fault = (text) => faults.push(text);
addEventListener("error", (event) => fault(`error: ${event.message}`));
addEventListener("unhandledrejection", (event) => fault(`unhandled rejection: ${event.reason}`));
addEventListener("securitypolicyviolation", (event) => fault(`asks for ${event.blockedURI || event.violatedDirective}`));
// A clipboard of its own: the system's answers when it likes.
let clipboard = "";
Object.defineProperty(navigator, "clipboard", { value: { writeText: async (text) => (clipboard = text) } });
for (const level of ["error", "warn"]) console[level] = (...words) => fault(`console.${level}: ${words.join(" ")}`);
