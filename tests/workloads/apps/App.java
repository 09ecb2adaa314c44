import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Properties;
import java.util.concurrent.Executors;
import java.util.logging.FileHandler;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;

/** A small server as people write them: pages, notes, uploads, a helper program, a backend. Its argument is the settings file. */
public final class App {
    private static final Logger LOG = Logger.getLogger("app");
    private static Path folder;
    private static String backend;

    public static void main(String[] arguments) throws IOException {
        var settings = new Properties();
        try (var reader = Files.newBufferedReader(Path.of(arguments[0]))) {
            settings.load(reader);
        }
        folder = Path.of(settings.getProperty("folder"));
        backend = settings.getProperty("backend");
        // Small, so that every few hundred requests rotate it.
        var handler = new FileHandler(folder + "/app.%g.log", 20_000, 3, true);
        handler.setFormatter(new SimpleFormatter());
        LOG.addHandler(handler);
        LOG.setUseParentHandlers(false);
        var address = new InetSocketAddress(InetAddress.getByName("127.0.0.1"), Integer.parseInt(settings.getProperty("port")));
        var server = HttpServer.create(address, 64);
        server.createContext("/", App::handle);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.start();
    }

    private static void handle(HttpExchange exchange) throws IOException {
        LOG.info(exchange.getRequestMethod() + " " + exchange.getRequestURI());
        byte[] request = exchange.getRequestBody().readAllBytes();
        int status = 200;
        byte[] body;
        try {
            body = answer(exchange.getRequestURI().getPath(), request);
        } catch (NoSuchFileException missing) {
            status = 404;
            body = "no such file\n".getBytes();
        }
        exchange.sendResponseHeaders(status, body.length);
        try (var stream = exchange.getResponseBody()) {
            stream.write(body);
        }
    }

    private static byte[] answer(String path, byte[] request) throws IOException {
        if (path.startsWith("/files/")) {
            return Files.readAllBytes(folder.resolve("data").resolve(path.substring(7)));
        }
        switch (path) {
            case "/run":
                return new ProcessBuilder("date", "-u").start().getInputStream().readAllBytes();
            case "/backend":
                try (var stream = new URL(backend).openStream()) {
                    return stream.readAllBytes();
                }
            case "/notes":
                Files.write(folder.resolve("notes.txt"), request, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
                break;
            case "/upload":
                var upload = Files.createTempFile(folder.resolve("tmp"), "upload", ".part");
                Files.write(upload, request);
                Files.delete(upload);
                break;
            default:
        }
        return "hello\n".getBytes();
    }
}
