import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/controls.css";

import { mount } from "svelte";
import App from "./App.svelte";
import { preferences } from "./state/preferences.svelte";
import { pages, router } from "./state/router.svelte";
import { session } from "./state/session.svelte";
import { loadMessages } from "./text/messages.svelte";

// The words, the person and the page's code are fetched side by side. Only a first visit waits for the person, so
// that nobody sees pages in passing who has to log in.
const who = session.load();
void pages[router.route.name]();
await Promise.all([loadMessages(preferences.language), session.expected ? undefined : who]);

const target = document.getElementById("app");
if (target) mount(App, { target });
