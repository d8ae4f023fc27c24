// Stub.
export default function Page() {
  return (
    <div class="page">
      <h1>flow</h1>
    </div>
  );
}
