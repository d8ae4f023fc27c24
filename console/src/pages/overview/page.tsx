// Stub.
export default function Page() {
  return (
    <div class="page">
      <h1>overview</h1>
    </div>
  );
}
