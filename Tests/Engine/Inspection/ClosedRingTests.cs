using System.Net;
using System.Reflection;
using C10kServer.Engine.Native;
using C10kServer.Engine.Tests.Support;

namespace C10kServer.Engine.Tests;

public class ClosedRingTests
{
    private static readonly IPEndPoint Local = new(IPAddress.Loopback, 7);

    [Fact]
    public void It_gives_the_last_ones_first_and_no_more_than_it_keeps()
    {
        var ring = new ClosedRing();
        Assert.Empty(ring.GetRows());
        Add(ring, 1, 100);
        Assert.Equal(Enumerable.Range(1, 100).Reverse().Select(static id => (long)id), ring.GetRows().Select(static row => row.Id));
        Add(ring, 101, 3000);
        Assert.Equal(
            Enumerable.Range(3000 - ClosedRing.Capacity + 1, ClosedRing.Capacity).Reverse().Select(static id => (long)id),
            ring.GetRows().Select(static row => row.Id));
    }

    [Fact]
    public void The_lock_that_workers_need_is_free_while_rows_are_made()
    {
        // A reader does nothing but look; the lock is tried every millisecond or so. A reader that makes its rows under the lock has it at
        // nine tries in ten, and one that copies records alone at one in ten, however fast the machine is.
        const int Tries = 400;
        var ring = new ClosedRing();
        Add(ring, 1, ClosedRing.Capacity);
        var tried = (Lock)typeof(ClosedRing).GetField("_lock", BindingFlags.NonPublic | BindingFlags.Instance)!.GetValue(ring)!;
        bool over = false;
        long looks = 0;
        var reader = new Thread(() =>
        {
            while (!Volatile.Read(ref over))
            {
                Assert.Equal(ClosedRing.Capacity, ring.GetRows().Count);
                Interlocked.Increment(ref looks);
            }
        });
        reader.Start();
        int held = 0;
        try
        {
            Eventually.True(() => Interlocked.Read(ref looks) > 10);
            for (int i = 0; i < Tries; i++)
            {
                long before = Interlocked.Read(ref looks);
                if (tried.TryEnter())
                {
                    tried.Exit();
                }
                else
                {
                    held++;
                }

                // The reader goes on before the next try, or one moment at which it stands still would count many times.
                Eventually.True(() => Interlocked.Read(ref looks) > before);
            }
        }
        finally
        {
            Volatile.Write(ref over, true);
            reader.Join();
        }

        Assert.True(held < Tries / 2, $"The lock was held at {held} of {Tries} tries.");
    }

    [Fact]
    public void Rows_of_a_ring_that_is_written_meanwhile_are_in_order_and_none_comes_twice()
    {
        var ring = new ClosedRing();
        bool over = false;
        var writer = new Thread(() =>
        {
            for (long id = 1; !Volatile.Read(ref over); id++)
            {
                ring.Add(Make(id));
            }
        });
        writer.Start();
        try
        {
            Eventually.True(() => ring.GetRows().Count > 0);
            for (int look = 0; look < 500; look++)
            {
                IReadOnlyList<ConnectionInfo> rows = ring.GetRows();
                Assert.InRange(rows.Count, 1, ClosedRing.Capacity);
                for (int row = 1; row < rows.Count; row++)
                {
                    Assert.Equal(rows[row - 1].Id - 1, rows[row].Id);
                }
            }
        }
        finally
        {
            Volatile.Write(ref over, true);
            writer.Join();
        }
    }

    [Fact]
    public void A_tag_that_comes_late_is_found_and_one_of_a_connection_that_is_not_kept_is_not()
    {
        var ring = new ClosedRing();
        Add(ring, 1, ClosedRing.Capacity + 1);
        ring.SetTag(2, "oldest");
        ring.SetTag(ClosedRing.Capacity + 1, "newest");
        ring.SetTag(1, "not kept");
        IReadOnlyList<ConnectionInfo> rows = ring.GetRows();
        Assert.Equal("newest", rows[0].Tag);
        Assert.Equal("oldest", rows[^1].Tag);
        Assert.Equal(2, rows.Count(static row => row.Tag is not null));
    }

    [Fact]
    public void What_is_kept_of_a_tag_is_bounded()
    {
        string longText = new('x', 1 << 20);
        Assert.Equal(KeptTag.Longest, Assert.IsType<string>(KeptTag.Of(longText)).Length);
        Assert.Equal(KeptTag.Longest, Assert.IsType<byte[]>(KeptTag.Cut(new byte[1 << 20])).Length);
        foreach (object plain in new object[] { "text", 7, 7L, 1.5, 'c', true, 2m, DayOfWeek.Friday, Guid.Empty, TimeSpan.Zero, DateTime.UnixEpoch, IPAddress.Loopback })
        {
            Assert.Same(plain, KeptTag.Of(plain));
        }

        // A compiled handler's state.
        Assert.Null(KeptTag.Of(new byte[10]));
        Assert.Null(KeptTag.Of(new List<string>()));
        Assert.Null(KeptTag.Of(null));
    }

    private static void Add(ClosedRing ring, int first, int last)
    {
        for (int id = first; id <= last; id++)
        {
            ring.Add(Make(id));
        }
    }

    private static ClosedRing.Record Make(long id) =>
        new(id, 0, CloseReason.PeerClosed, SockAddr.From(IPAddress.Loopback, 7), Local, default, 0, 0, id, id, id, null);
}
