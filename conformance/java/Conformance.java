import io.github.jopenlibs.vault.Vault;
import io.github.jopenlibs.vault.VaultConfig;
import io.github.jopenlibs.vault.VaultException;
import io.github.jopenlibs.vault.api.sys.mounts.MountPayload;
import io.github.jopenlibs.vault.api.sys.mounts.MountType;
import io.github.jopenlibs.vault.response.AuthResponse;
import io.github.jopenlibs.vault.response.LogicalResponse;
import io.github.jopenlibs.vault.response.UnwrapResponse;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Base64;
import java.util.Map;

/** The server that VAULT_ADDR names, driven with vault-java-driver. Prints a line for each check that holds. */
public final class Conformance {
    private static final String ADDRESS = System.getenv("VAULT_ADDR");
    private static final String ROOT = System.getenv("VAULT_TOKEN");

    public static void main(String[] arguments) throws Exception {
        Vault root = client(ROOT, 2);
        check("health", root.debug().health().getInitialized() && !root.debug().health().getSealed());
        kv(root);
        approle();
        userpass();
        transit(root);
        wrapping(root);
        renewal(root);
    }

    private static void kv(Vault root) throws Exception {
        root.logical().write("secret/java/a", Map.of("password", "hunter2"));
        root.logical().write("secret/java/a", Map.of("password", "hunter3"));
        Map<String, String> data = root.logical().read("secret/java/a").getData();
        check("kv: the newest version is read", "hunter3".equals(data.get("password")));
        data = root.logical().read("secret/java/a", true, 1).getData();
        check("kv: an older version is read", "hunter2".equals(data.get("password")));
        check("kv: list", root.logical().list("secret/java").getListData().contains("a"));
        // The client's own `delete` removes all versions.
        ask("DELETE", "secret/data/java/a", null);
        check("kv: a deleted version is a 404", root.logical().read("secret/java/a").getRestResponse().getStatus() == 404);
        ask("POST", "secret/undelete/java/a", "{\"versions\":[2]}");
        data = root.logical().read("secret/java/a").getData();
        check("kv: and comes back", "hunter3".equals(data.get("password")));
    }

    private static void approle() throws Exception {
        ask("POST", "sys/auth/java-approle", "{\"type\":\"approle\"}");
        ask("PUT", "sys/policies/acl/java", "{\"policy\":\"path \\\"secret/*\\\" { capabilities = [\\\"read\\\"] }\"}");
        ask("POST", "auth/java-approle/role/job", "{\"token_policies\":\"java\",\"token_ttl\":\"20m\"}");
        String role = field(ask("GET", "auth/java-approle/role/job/role-id", null), "role_id");
        String secret = field(ask("POST", "auth/java-approle/role/job/secret-id", "{}"), "secret_id");
        AuthResponse login = client(null, 2).auth().loginByAppRole("java-approle", role, secret);
        check("approle: login", login.getAuthPolicies().contains("java") && login.getAuthLeaseDuration() == 1200);
        LogicalResponse read = client(login.getAuthClientToken(), 2).logical().read("secret/java/a");
        check("approle: the policy allows", read.getRestResponse().getStatus() == 200);
        check("approle: a wrong secret id is a 400", status(() -> client(null, 2).auth().loginByAppRole("java-approle", role, "wrong")) == 400);
    }

    private static void userpass() throws Exception {
        ask("POST", "sys/auth/java-userpass", "{\"type\":\"userpass\"}");
        ask("POST", "auth/java-userpass/users/ann", "{\"password\":\"correct horse\",\"policies\":\"default\"}");
        AuthResponse login = client(null, 2).auth().loginByUserPass("ann", "correct horse", "java-userpass");
        check("userpass: login", "ann".equals(login.getUsername()));
        check("userpass: a wrong password is a 400", status(() -> client(null, 2).auth().loginByUserPass("ann", "wrong", "java-userpass")) == 400);
    }

    private static void transit(Vault root) throws Exception {
        root.mounts().enable("java-transit", MountType.TRANSIT, new MountPayload());
        Vault plain = client(ROOT, 1);
        plain.logical().write("java-transit/keys/orders", Map.of("type", "aes256-gcm96"));
        String text = Base64.getEncoder().encodeToString("hello".getBytes());
        String sealed = plain.logical().write("java-transit/encrypt/orders", Map.of("plaintext", text)).getData().get("ciphertext");
        check("transit: encrypt", sealed.startsWith("vault:v1:"));
        plain.logical().write("java-transit/keys/orders/rotate", Map.of());
        sealed = plain.logical().write("java-transit/rewrap/orders", Map.of("ciphertext", sealed)).getData().get("ciphertext");
        check("transit: rewrap", sealed.startsWith("vault:v2:"));
        String opened = plain.logical().write("java-transit/decrypt/orders", Map.of("ciphertext", sealed)).getData().get("plaintext");
        check("transit: decrypt", text.equals(opened));
        Map<String, String> dek = plain.logical().write("java-transit/datakey/plaintext/orders", Map.of()).getData();
        opened = plain.logical().write("java-transit/decrypt/orders", Map.of("ciphertext", dek.get("ciphertext"))).getData().get("plaintext");
        check("transit: data key", dek.get("plaintext").equals(opened));
        plain.logical().write("java-transit/keys/signs", Map.of("type", "ecdsa-p256"));
        String signature = plain.logical().write("java-transit/sign/signs", Map.of("input", text)).getData().get("signature");
        Map<String, Object> signed = Map.of("input", text, "signature", signature);
        String valid = plain.logical().write("java-transit/verify/signs", signed).getData().get("valid");
        check("transit: verify", "true".equals(valid));
    }

    private static void wrapping(Vault root) throws Exception {
        String token = field(ask("POST", "sys/wrapping/wrap", "{\"a\":\"b\"}", "X-Vault-Wrap-TTL", "60"), "token");
        UnwrapResponse unwrapped = client(token, 1).auth().unwrap();
        check("wrapping: unwrap", "b".equals(unwrapped.getData().get("a").asString()));
        int again = status(() -> client(token, 1).auth().unwrap());
        check("wrapping: once", again == 400 || again == 403);
    }

    private static void renewal(Vault root) throws Exception {
        String token = field(ask("POST", "auth/token/create", "{\"policies\":[\"default\"],\"ttl\":\"10m\"}"), "client_token");
        check("token: renew", client(token, 2).auth().renewSelf(300).getAuthLeaseDuration() == 300);
        client(token, 2).auth().revokeSelf();
        check("token: a revoked one is a 403", status(() -> client(token, 2).auth().lookupSelf()) == 403);
    }

    private static Vault client(String token, int version) throws VaultException {
        VaultConfig config = new VaultConfig().address(ADDRESS).engineVersion(version);
        return Vault.create((token == null ? config : config.token(token)).build());
    }

    private interface Call {
        Object run() throws Exception;
    }

    private static int status(Call call) throws Exception {
        try {
            call.run();
            return 200;
        } catch (VaultException refused) {
            return refused.getHttpStatusCode();
        }
    }

    /** What the client has no call for. */
    private static String ask(String method, String path, String body, String... headers) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(ADDRESS + "/v1/" + path)).header("X-Vault-Token", ROOT);
        if (headers.length > 0) {
            request.headers(headers);
        }
        HttpRequest.BodyPublisher publisher =
            body == null ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofString(body);
        HttpResponse<String> answer =
            HttpClient.newHttpClient().send(request.method(method, publisher).build(), HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() >= 300) {
            throw new AssertionError(path + ": " + answer.statusCode() + " " + answer.body());
        }
        return answer.body();
    }

    private static String field(String json, String name) {
        String from = json.substring(json.indexOf("\"" + name + "\":\"") + name.length() + 4);
        return from.substring(0, from.indexOf('"'));
    }

    private static void check(String what, boolean holds) {
        if (!holds) {
            throw new AssertionError(what);
        }
        System.out.println("ok  java: " + what);
    }
}
