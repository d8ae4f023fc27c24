declare module "world-atlas/land-110m.json" {
  const topology: import("./board/coast").Topology;
  export default topology;
}
