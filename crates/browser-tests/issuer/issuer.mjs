// An OpenID Connect issuer as others run one: `node issuer.mjs PORT REDIRECT_URI`, until it is stopped. Its keys are new
// with every start, as after a rotation. Whoever logs in, with whatever password, belongs to the tenant `acme`.
import { generateKeyPairSync, randomUUID } from "node:crypto";
import Provider from "oidc-provider";

const [port, redirectUri] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const scope = "chats:read chats:write";

function newKey() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), alg: "RS256", use: "sig" };
}

const provider = new Provider(issuer, {
  jwks: { keys: [newKey()] },
  scopes: ["openid", ...scope.split(" ")],
  clients: [
    {
      client_id: "swagger",
      token_endpoint_auth_method: "none",
      grant_types: ["authorization_code"],
      response_types: ["code"],
      redirect_uris: [redirectUri],
    },
    {
      client_id: "billing",
      client_secret: "a secret of the test",
      grant_types: ["client_credentials"],
      response_types: [],
      redirect_uris: [],
    },
  ],
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  extraTokenClaims: () => ({ tenant: "acme" }),
  clientBasedCORS: () => true,
  cookies: { keys: [randomUUID()] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => "urn:convoke",
      useGrantedResource: () => true,
      // The audience is the last part: `urn:convoke` gets tokens for us, `urn:other` for others.
      getResourceServerInfo: (_, resource) => ({
        scope,
        audience: resource.replace("urn:", ""),
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
});

provider.listen(Number(port), "127.0.0.1");
