// The conversation of a program with its test: a line each way.

import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

function say(line) {
  process.stdout.write(`${line}\n`);
}

async function hear() {
  const { value, done } = await lines.next();
  if (done) throw new Error('the test has gone');
  return JSON.parse(value);
}

function end(line) {
  say(line);
  process.exit(0);
}

/** Runs the flow that the test names. */
export async function run(library, flows) {
  const { version } = JSON.parse(readFileSync(`node_modules/${library}/package.json`, 'utf8'));
  say(`version ${library} ${version}`);
  const { flow, ...told } = await hear();
  await flows[flow](told);
  end('ran');
}

/** Ends here, and says so, where the server does not advertise what the flow is about. */
export function needs(metadata, member) {
  if (!metadata[member]) end(`lacks ${member}`);
}

/** Registers a client; the answer has the members of RFC 7591 §3.2.1. */
export async function register(document) {
  say(`register ${JSON.stringify(document)}`);
  return hear();
}

/** Sends somebody there, who signs in and allows what is asked: where they end, or the form that brings them. */
export async function visit(url) {
  say(`visit ${url}`);
  const { url: end, action, fields } = await hear();
  if (end) return new URL(end);
  return new Request(action, { method: 'POST', body: new URLSearchParams(fields) });
}
