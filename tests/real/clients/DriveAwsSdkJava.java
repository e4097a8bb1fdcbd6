// AWS SDK for Java 2: every operation of a door, one after the other; asked on stdin, told on stdout, both JSON.
import java.io.FileInputStream;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import javax.net.ssl.TrustManagerFactory;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.protocols.jsoncore.JsonNode;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.GetObjectRequest;
import software.amazon.awssdk.services.s3.model.S3Exception;
import software.amazon.awssdk.services.s3.model.S3Object;

public class DriveAwsSdkJava {
    private final JsonNode ask;
    private final S3Client s3;

    private DriveAwsSdkJava(JsonNode ask, JsonNode door) throws Exception {
        this.ask = ask;
        String url = "%s://%s:%s".formatted(text(door, "scheme"), text(door, "host"), door.field("port").get().asNumber());
        TrustManagerFactory trust = trustOf(System.getenv("SSL_CERT_FILE"));
        s3 = S3Client.builder()
            .endpointOverride(URI.create(url))
            .forcePathStyle(text(door, "style").equals("path"))
            .region(Region.of(text(ask, "region")))
            .httpClientBuilder(UrlConnectionHttpClient.builder().tlsTrustManagersProvider(trust::getTrustManagers))
            .build();
    }

    public static void main(String[] args) throws Exception {
        JsonNode ask = JsonNode.parser().parse(new String(System.in.readAllBytes(), StandardCharsets.UTF_8));
        List<String> saw = new ArrayList<>();
        for (JsonNode door : ask.field("doors").get().asArray()) {
            DriveAwsSdkJava on = new DriveAwsSdkJava(ask, door);
            saw.add(quoted(text(door, "scheme") + " " + text(door, "style")) + ":" + on.all());
        }
        byte[] told = ("{" + String.join(",", saw) + "}").getBytes(StandardCharsets.UTF_8);
        System.out.write(told, 0, told.length);
        System.out.flush();
    }

    private String all() {
        Map<String, Callable<String>> operations = new LinkedHashMap<>();
        operations.put("list", this::list);
        operations.put("pages", this::pages);
        operations.put("read", this::read);
        operations.put("ranges", this::ranges);
        operations.put("conditions", this::conditions);
        List<String> told = new ArrayList<>();
        operations.forEach((name, operation) -> told.add(quoted(name) + ":" + attempt(operation)));
        return "{" + String.join(",", told) + "}";
    }

    private String list() {
        List<String> told = new ArrayList<>();
        for (JsonNode prefix : ask.field("prefixes").get().asArray()) {
            for (S3Object one : under(prefix.asString())) told.add(quoted(one.key()) + ":" + one.size());
        }
        return "{" + String.join(",", told) + "}";
    }

    private String pages() throws Exception {
        List<String> keys = under(text(ask, "many")).stream().map(S3Object::key).toList();
        return "[" + keys.size() + "," + quoted(digest(String.join("\n", keys).getBytes(StandardCharsets.UTF_8))) + "]";
    }

    private String read() throws Exception {
        List<String> told = new ArrayList<>();
        for (JsonNode key : ask.field("keys").get().asArray()) {
            told.add(quoted(key.asString()) + ":" + quoted(get(key.asString(), request -> {})));
        }
        return "{" + String.join(",", told) + "}";
    }

    private String ranges() throws Exception {
        List<String> told = new ArrayList<>();
        for (JsonNode span : ask.field("ranges").get().asArray()) {
            long start = Long.parseLong(span.asArray().get(0).asNumber());
            long end = Long.parseLong(span.asArray().get(1).asNumber());
            told.add(quoted(get(text(ask, "big"), request -> request.range("bytes=" + start + "-" + (end - 1)))));
        }
        return "[" + String.join(",", told) + "]";
    }

    private String conditions() throws Exception {
        List<String> told = new ArrayList<>();
        for (String which : List.of("same", "other")) {
            String tag = which.equals("same") ? text(ask, "etag") : "\"other\"";
            told.add(quoted("If-Match, " + which) + ":" + asked(request -> request.ifMatch(tag)));
            told.add(quoted("If-None-Match, " + which) + ":" + asked(request -> request.ifNoneMatch(tag)));
        }
        return "{" + String.join(",", told) + "}";
    }

    private String asked(Consumer<GetObjectRequest.Builder> condition) throws Exception {
        try {
            return quoted(get(text(ask, "big"), condition));
        } catch (S3Exception refused) {
            return Integer.toString(refused.statusCode());
        }
    }

    private List<S3Object> under(String prefix) {
        return s3.listObjectsV2Paginator(request -> request.bucket(text(ask, "bucket")).prefix(prefix))
            .contents().stream().toList();
    }

    private String get(String key, Consumer<GetObjectRequest.Builder> more) throws Exception {
        GetObjectRequest.Builder request = GetObjectRequest.builder().bucket(text(ask, "bucket")).key(key);
        more.accept(request);
        try (InputStream body = s3.getObject(request.build())) {
            return digest(body.readAllBytes());
        }
    }

    private static String attempt(Callable<String> operation) {
        try {
            return "{\"saw\":" + operation.call() + "}";
        } catch (Exception fault) {
            StringWriter trace = new StringWriter();
            fault.printStackTrace(new PrintWriter(trace));
            return "{\"fault\":" + quoted(trace.toString()) + "}";
        }
    }

    private static TrustManagerFactory trustOf(String path) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (InputStream pem = new FileInputStream(path)) {
            store.setCertificateEntry("authority", CertificateFactory.getInstance("X.509").generateCertificate(pem));
        }
        TrustManagerFactory made = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        made.init(store);
        return made;
    }

    private static String text(JsonNode node, String name) {
        return node.field(name).get().asString();
    }

    private static String digest(byte[] data) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(data));
    }

    private static String quoted(String text) {
        StringBuilder told = new StringBuilder("\"");
        for (char one : text.toCharArray()) {
            if (one < ' ' || one == '"' || one == '\\') told.append("\\u%04x".formatted((int) one));
            else told.append(one);
        }
        return told.append('"').toString();
    }
}
