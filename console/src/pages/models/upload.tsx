// `Upload`: how a model comes to the server. It must not know models.

import { href } from "../../state/route";
import { Code } from "../../ui/code";

const EXAMPLE = `CREATE MODEL flood_risk FROM '/srv/models/flood_risk.onnx';

SELECT station, ml_predict('flood_risk', level, flow) AS risk FROM readings;
`;

export function Upload() {
  return (
    <section class="panel" aria-labelledby="upload">
      <h2 id="upload">A new model</h2>
      <p>
        A model is an ONNX file. Put the file where the server can read it, and name its path in{" "}
        <a href={href("sql")}>SQL</a>: the path is the server's, not this browser's.
      </p>
      <Code text={EXAMPLE} />
    </section>
  );
}
