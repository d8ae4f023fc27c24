// Stub.
export default function Page() {
  return (
    <div class="page">
      <h1>objects</h1>
    </div>
  );
}
