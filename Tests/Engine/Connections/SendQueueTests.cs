using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

public class SendQueueTests
{
    [Fact]
    public void Bytes_come_out_as_they_went_in_whatever_the_sizes()
    {
        var pool = new BufferPool();
        var queue = new SendQueue(pool);
        var random = new Random(2);
        int written = 0;
        int read = 0;
        for (int i = 0; i < 20_000; i++)
        {
            if (random.Next(2) == 0 && queue.Length < 1_000_000)
            {
                int n = random.Next(0, i % 10 == 0 ? 100_000 : 3000);
                queue.Append(Keyed.Bytes(1, n, written));
                written += n;
            }
            else if (queue.Length > 0)
            {
                ReadOnlySpan<byte> head = queue.Head;
                int n = random.Next(1, head.Length + 1);
                Keyed.Verify(1, head[..n], read);
                queue.Advance(n);
                read += n;
            }

            Assert.Equal(written - read, queue.Length);
        }

        while (queue.Length > 0)
        {
            Keyed.Verify(1, queue.Head, read);
            read += queue.Head.Length;
            queue.Advance(queue.Head.Length);
        }

        Assert.Equal(written, read);
        Assert.True(queue.Head.IsEmpty);
    }

    [Fact]
    public void Blocks_go_back_and_all_but_one_slab_are_let_go()
    {
        var pool = new BufferPool();
        List<SendQueue> queues = [.. Enumerable.Range(0, 200).Select(_ => new SendQueue(pool))];
        foreach (SendQueue queue in queues)
        {
            queue.Append(new byte[BufferPool.BlockSize + 1]);
        }

        Assert.InRange(pool.SlabCount, 10, 20);
        queues.ForEach(static queue => queue.Clear());
        Assert.Equal(1, pool.SlabCount);
    }

    [Fact]
    public void Two_queues_never_share_a_block()
    {
        var pool = new BufferPool();
        var a = new SendQueue(pool);
        var b = new SendQueue(pool);
        for (int i = 0; i < 100; i++)
        {
            a.Append(Keyed.Bytes(1, 1000, i * 1000));
            b.Append(Keyed.Bytes(2, 1000, i * 1000));
        }

        Drain(a, 1);
        Drain(b, 2);

        static void Drain(SendQueue queue, int key)
        {
            for (int offset = 0; queue.Length > 0;)
            {
                Keyed.Verify(key, queue.Head, offset);
                offset += queue.Head.Length;
                queue.Advance(queue.Head.Length);
            }
        }
    }
}
