// Create, read, search with paging, update with versions, patch, transaction and history by fhir-kit-client.
// Run as: node story.js <base> <key>. Ends with exit code 0 and the word "done" where everything was as it should be.
import assert from "node:assert/strict";
import { Client } from "fhir-kit-client";

const [baseUrl, bearerToken] = process.argv.slice(2);
const client = new Client({ baseUrl, bearerToken });
const mark = `kit-${Date.now()}`;
const system = "urn:fhir-kit";

async function status(call) {
  try {
    await call;
  } catch (error) {
    assert.equal(error.response.data.resourceType, "OperationOutcome");
    return error.response.status;
  }
  return 200;
}

const statement = await client.capabilityStatement();
assert.equal(statement.fhirVersion, "4.0.1");

// Create and read.
const patients = [];
for (let n = 0; n < 7; n += 1) {
  const body = { resourceType: "Patient", identifier: [{ system, value: `${mark}-${n}` }], name: [{ family: mark }] };
  patients.push(await client.create({ resourceType: "Patient", body }));
}
const first = await client.read({ resourceType: "Patient", id: patients[0].id });
assert.deepEqual(first, patients[0]);

// Search, page by page.
let page = await client.search({ resourceType: "Patient", searchParams: { family: mark, _count: 3, _sort: "_id" } });
const found = [];
let pages = 0;
while (page) {
  pages += 1;
  found.push(...page.entry.map((entry) => entry.resource.id));
  page = page.link.some((link) => link.relation === "next") ? await client.nextPage({ bundle: page }) : null;
}
assert.equal(pages, 3);
assert.deepEqual(found, patients.map((one) => one.id).sort());
const posted = await client.search({
  resourceType: "Patient",
  searchParams: { family: mark },
  options: { postSearch: true },
});
assert.equal(posted.entry.length, 7);

// Update with versions: a stale one is refused.
const changed = await client.update({
  resourceType: "Patient",
  id: first.id,
  body: { ...first, gender: "female" },
  options: { headers: { "If-Match": 'W/"1"' } },
});
assert.equal(changed.meta.versionId, "2");
const stale = client.update({
  resourceType: "Patient",
  id: first.id,
  body: { ...first, gender: "male" },
  options: { headers: { "If-Match": 'W/"1"' } },
});
assert.equal(await status(stale), 412);
const old = await client.vread({ resourceType: "Patient", id: first.id, version: "1" });
assert.equal(old.gender, undefined);

// Conditional update by what identifies the patient.
const conditional = await client.update({
  resourceType: "Patient",
  searchParams: { identifier: `${system}|${mark}-1` },
  body: { ...patients[1], active: true },
});
assert.equal(conditional.id, patients[1].id);

// JSON Patch.
const patched = await client.patch({
  resourceType: "Patient",
  id: first.id,
  jsonPatch: [{ op: "replace", path: "/gender", value: "other" }],
});
assert.deepEqual([patched.gender, patched.meta.versionId], ["other", "3"]);

// A transaction: a patient and a visit that refers to it.
const urn = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0";
const visit = {
  resourceType: "Appointment",
  status: "proposed",
  participant: [{ actor: { reference: urn }, status: "needs-action" }],
};
const answer = await client.transaction({
  body: {
    resourceType: "Bundle",
    type: "transaction",
    entry: [
      { resource: visit, request: { method: "POST", url: "Appointment" } },
      {
        fullUrl: urn,
        resource: { resourceType: "Patient", name: [{ family: mark }] },
        request: { method: "POST", url: "Patient" },
      },
    ],
  },
});
assert.equal(answer.type, "transaction-response");
assert.deepEqual(
  answer.entry.map((entry) => entry.response.status.slice(0, 3)),
  ["201", "201"],
);
const ident = answer.entry[0].response.location.match(/Appointment\/([^/]+)\/_history/)[1];
const booked = await client.read({ resourceType: "Appointment", id: ident });
const patient = await client.resolve({ reference: booked.participant[0].actor.reference });
assert.equal(patient.name[0].family, mark);
const mine = await client.compartmentSearch({
  resourceType: "Appointment",
  compartment: { resourceType: "Patient", id: patient.id },
});
assert.deepEqual(mine.entry.map((entry) => entry.resource.id), [ident]);

// Deletion and history.
await client.delete({ resourceType: "Appointment", id: ident });
assert.equal(await status(client.read({ resourceType: "Appointment", id: ident })), 410);
const history = await client.history({ resourceType: "Patient", id: first.id });
assert.deepEqual(
  history.entry.map((entry) => entry.resource.meta.versionId),
  ["3", "2", "1"],
);
const outcome = await client.operation({ name: "validate", resourceType: "Patient", input: { resourceType: "Patient" } });
assert.equal(outcome.resourceType, "OperationOutcome");
console.log("done");
