/* java_work.java: threads, collections, direct buffers, compression and exceptions on the JVM,
 * whose compiler, collector and zlib take their memory from malloc. Prints results only. */
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.zip.CRC32;
import java.util.zip.Deflater;

class AcceptWork {
    static long compress(int seed) {
        byte[] data = new byte[200_000];
        for (int i = 0; i < data.length; i++) {
            seed = seed * 1664525 + 1013904223;
            data[i] = (byte) (seed >>> 28);
        }
        Deflater deflater = new Deflater(9);
        deflater.setInput(data);
        deflater.finish();
        byte[] packed = new byte[300_000];
        int length = deflater.deflate(packed);
        deflater.end();
        CRC32 crc = new CRC32();
        crc.update(packed, 0, length);
        return crc.getValue();
    }

    static long buffers(int seed) {
        long sum = 0;
        for (int i = 1; i < 200; i++) {
            ByteBuffer buffer = ByteBuffer.allocateDirect(i * 1000);
            buffer.putInt(0, seed * i);
            sum += buffer.getInt(0) + buffer.capacity();
        }
        return sum;
    }

    static String task(int seed) {
        TreeMap<String, Integer> counts = new TreeMap<>();
        for (int i = 0; i < 40_000; i++) {
            counts.merge("key" + (i * 31 + seed) % 1009, i, Integer::sum);
        }
        int caught = 0;
        for (int i = 0; i < 1000; i++) {
            try {
                throw new IllegalStateException("number " + i);
            } catch (IllegalStateException expected) {
                caught += expected.getMessage().length();
            }
        }
        return seed + " " + counts.firstEntry() + " " + compress(seed) + " " + buffers(seed)
            + " " + caught;
    }

    public static void main(String[] arguments) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(8);
        List<Future<String>> results = new ArrayList<>();
        for (int i = 0; i < 24; i++) {
            int seed = i;
            results.add(pool.submit(() -> task(seed)));
        }
        for (Future<String> result : results) {
            System.out.println(result.get());
        }
        pool.shutdown();
        for (int i = 0; i < 200; i++) {
            Thread thread = new Thread(() -> buffers(1));
            thread.start();
            thread.join();
        }
        System.out.println(IntStream.range(0, 100_000).parallel().boxed()
            .collect(Collectors.groupingBy(i -> i % 7, Collectors.counting())));
    }
}
