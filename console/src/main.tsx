// Starts the console.

import { render } from "preact";
import { App } from "./app";
import "./styles/fonts.css";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/parts.css";
import "./styles/chart.css";
import "./styles/grid.css";
import "./styles/picture.css";
import "./styles/form.css";
import "./styles/over.css";

const root = document.getElementById("app");
if (root) render(<App />, root);
