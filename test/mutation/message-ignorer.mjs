/**
 * What only people read is no behaviour: the sentence of an error, and all that a log line says. Codes, states, events
 * and invariants' numbers are words of the contract, and are mutated like everything else.
 */
const LOG_METHODS = new Set(["info", "warn", "error"]);
const MESSAGE_FIELDS = new Set(["message", "failureMessage"]);

const messageIgnorer = {
  shouldIgnore(path) {
    if (isLogCall(path)) return "It is only logged.";
    if (isText(path.node) && hasSpace(path.node) && isMessage(path)) return "It is the sentence of an error.";
    return undefined;
  },
};

/** How Stryker finds the plug-ins of a module. */
export const strykerPlugins = [{ kind: "Ignore", name: "messages", value: messageIgnorer }];

function isLogCall({ node }) {
  if (node.type !== "CallExpression" || node.callee.type !== "MemberExpression") return false;
  const { object, property } = node.callee;
  const name = object.type === "MemberExpression" ? object.property.name : object.name;
  return name === "log" && LOG_METHODS.has(property.name);
}

function isText({ type }) {
  return type === "StringLiteral" || type === "TemplateLiteral";
}

/** A code is one word. */
function hasSpace(node) {
  const parts = node.type === "StringLiteral" ? [node.value] : node.quasis.map(({ value }) => value.raw);
  return parts.some((part) => part.includes(" "));
}

function isMessage({ parent }) {
  if (parent.type === "NewExpression") return parent.callee.name?.endsWith("Error") === true;
  return parent.type === "ObjectProperty" && MESSAGE_FIELDS.has(parent.key.name);
}
