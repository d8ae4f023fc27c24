// `Picture`: a graph, drawn. It must not know what its boxes are.

import { useMemo } from "preact/hooks";
import type { Graph, GraphNode } from "../plan/graph";
import { layOut } from "../plan/layout";

/** What is said of a box besides what the graph says. */
export interface Adornment {
  /** Lines below the title, instead of the node's own detail. */
  facts?: string[];
  /** How fast it flows out, from 0 to 1; undefined: not at all. */
  flow?: number;
  mark?: "bottleneck" | "failed" | "waiting";
  markText?: string;
}

interface Props {
  graph: Graph;
  direction: "right" | "down";
  label: string;
  adorn?: (node: GraphNode) => Adornment;
  chosen?: string | undefined;
  onChoose?: (id: string) => void;
}

const MARGIN = 18;
const BOXES = {
  right: { box: { width: 208, height: 84 }, gap: { width: 64, height: 24 } },
  down: { box: { width: 264, height: 66 }, gap: { width: 30, height: 42 } },
};

/** Characters that fit into a box. */
const FIT = { right: 25, down: 33 };

/** A picture that is wider than its place is drawn smaller, down to this; then it scrolls. */
const SMALLEST = 0.8;

export function Picture({ graph, direction, label, adorn, chosen, onChoose }: Props) {
  const layout = useMemo(() => layOut(graph, { ...BOXES[direction], direction }), [graph, direction]);
  const adornments = new Map(graph.nodes.map((node) => [node.id, adorn?.(node) ?? {}]));
  const [width, height] = [layout.width + 2 * MARGIN, layout.height + 2 * MARGIN];
  return (
    <div class="picture">
      <svg
        viewBox={`${-MARGIN} ${-MARGIN} ${width} ${height}`}
        style={{ width: `clamp(${width * SMALLEST}px, 100%, ${width}px)`, aspectRatio: `${width} / ${height}` }}
        role="group"
        aria-label={label}
      >
        <g class="edges" aria-hidden="true">
          {layout.edges.map(({ from, to, path }) => {
            const flow = adornments.get(from)?.flow;
            return (
              <g key={`${from} ${to}`}>
                <path class="edge" d={path} style={{ strokeWidth: `${1.5 + 5 * (flow ?? 0)}px` }} />
                {flow !== undefined && (
                  <path class="edge moving" d={path} style={{ strokeWidth: `${1 + 2 * flow}px` }} />
                )}
              </g>
            );
          })}
        </g>
        {graph.nodes.map((node) => {
          const placed = layout.nodes.get(node.id);
          if (!placed) return null;
          return (
            <Box
              key={node.id}
              node={node}
              at={placed}
              adornment={adornments.get(node.id) ?? {}}
              fit={FIT[direction]}
              isChosen={node.id === chosen}
              onChoose={onChoose}
            />
          );
        })}
      </svg>
    </div>
  );
}

interface BoxProps {
  node: GraphNode;
  at: { x: number; y: number; width: number; height: number };
  adornment: Adornment;
  fit: number;
  isChosen: boolean;
  onChoose: ((id: string) => void) | undefined;
}

function Box({ node, at, adornment, fit, isChosen, onChoose }: BoxProps) {
  const facts = adornment.facts ?? [node.detail, node.notes.join(" · ")];
  const choose = () => onChoose?.(node.id);
  const whole = [...new Set([node.title, node.detail, ...facts, adornment.markText])].filter(Boolean).join("\n");
  const names = ["box", node.family, adornment.mark ?? "", isChosen ? "chosen" : "", onChoose ? "can-choose" : ""];
  const reach = onChoose && {
    role: "button" as const,
    tabIndex: 0,
    "aria-pressed": isChosen,
    onClick: choose,
    onKeyDown: (event: KeyboardEvent) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose();
    },
  };
  return (
    <g class={names.filter(Boolean).join(" ")} transform={`translate(${at.x} ${at.y})`} {...reach}>
      <title>{whole}</title>
      <g aria-hidden="true">
        <rect width={at.width} height={at.height} rx="8" />
        <path class="family" d={`M0 12v${at.height - 24}`} />
        <text class="box-title" x="16" y="23">
          {cut(node.title, fit - 2)}
        </text>
        {facts.map((fact, i) => (
          <text class="box-fact" x="16" y={42 + i * 16}>
            {cut(fact, fit)}
          </text>
        ))}
        {adornment.markText && (
          <text class="box-mark" x={at.width - 12} y="23" text-anchor="end">
            {adornment.markText}
          </text>
        )}
      </g>
    </g>
  );
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}
