/** Words for what the platform names by codes: roles, and kinds of entries of the audit list. */

import { t, type Key } from "./messages.svelte";

const ROLES: Record<string, Key> = {
  viewer: "role.viewer",
  operator: "role.operator",
  admin: "role.admin",
};
/** From the least that one may do to the most. */
export const ROLE_CODES = Object.keys(ROLES);

const AUDIT_KINDS: Record<string, Key> = {
  "bridge-changed": "audit.bridgeChanged",
  "bridge-made": "audit.bridgeMade",
  "bridge-removed": "audit.bridgeRemoved",
  "client-disconnected": "audit.clientDisconnected",
  disconnected: "audit.disconnected",
  "left-out": "audit.leftOut",
  "login-failed": "audit.loginFailed",
  "login-refused": "audit.loginRefused",
  "message-refused": "audit.messageRefused",
  "over-quota": "audit.overQuota",
  "password-removed": "audit.passwordRemoved",
  "password-set": "audit.passwordSet",
  "quota-removed": "audit.quotaRemoved",
  "quota-set": "audit.quotaSet",
  "retained-cleared": "audit.retainedCleared",
  "rule-changed": "audit.ruleChanged",
  "rule-made": "audit.ruleMade",
  "rule-removed": "audit.ruleRemoved",
  "subscribe-refused": "audit.subscribeRefused",
  "subscription-removed": "audit.subscriptionRemoved",
  "token-made": "audit.tokenMade",
  "token-revoked": "audit.tokenRevoked",
  "user-changed": "audit.userChanged",
  "user-made": "audit.userMade",
  "user-removed": "audit.userRemoved",
};

/** A code that a newer platform has and this page does not know stays as it is. */
function word(table: Record<string, Key>, code: string): string {
  const key = table[code];
  return key ? t(key) : code;
}

export const roleName = (role: string) => word(ROLES, role);
export const auditKind = (kind: string) => word(AUDIT_KINDS, kind);
