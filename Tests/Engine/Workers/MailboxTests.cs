using C10kServer.Engine.Native;

namespace C10kServer.Engine.Tests;

public class MailboxTests
{
    [Fact]
    public void Of_two_million_posts_by_four_threads_none_is_lost_and_none_waits_unseen()
    {
        const int Producers = 4;
        const int Posts = 500_000;
        using var mailbox = new Mailbox();
        using var epoll = new Epoll(4);
        Assert.Equal(0, epoll.Add(mailbox.EventFdNumber, Epoll.In | Epoll.EdgeTriggered, 1));
        List<Thread> threads = [.. Enumerable.Range(0, Producers).Select(producer => new Thread(() =>
        {
            for (int i = 0; i < Posts; i++)
            {
                Assert.True(mailbox.Post(new Command(CommandKind.Walk, producer, Number: i)));
            }
        }))];
        threads.ForEach(static thread => thread.Start());
        int signals = TakeAll(mailbox, epoll, Producers, Posts);
        threads.ForEach(static thread => thread.Join());
        Assert.True(signals < Producers * Posts, "a signal for every post");
    }

    [Fact]
    public void Of_two_million_posts_whose_wake_up_comes_later_none_is_lost_and_none_waits_unseen()
    {
        const int Producers = 4;
        const int Posts = 500_000;
        using var mailbox = new Mailbox();
        using var epoll = new Epoll(4);
        Assert.Equal(0, epoll.Add(mailbox.EventFdNumber, Epoll.In | Epoll.EdgeTriggered, 1));
        List<Thread> threads = [.. Enumerable.Range(0, Producers).Select(producer => new Thread(() =>
        {
            // One wake-up for 1 to 7 posts, and now and then a post that wakes by itself.
            int unsignalled = 0;
            for (int i = 0; i < Posts; i++)
            {
                bool wake = i % 11 == producer;
                Assert.True(mailbox.Post(new Command(CommandKind.Walk, producer, Number: i), wake));
                unsignalled = wake ? 0 : unsignalled + 1;
                if (unsignalled > i % 7 || i == Posts - 1)
                {
                    mailbox.Wake();
                    unsignalled = 0;
                }
            }
        }))];
        threads.ForEach(static thread => thread.Start());
        int signals = TakeAll(mailbox, epoll, Producers, Posts);
        threads.ForEach(static thread => thread.Join());
        Assert.True(signals < Producers * Posts / 2, $"{signals} signals for {Producers * Posts} posts");
        Assert.False(mailbox.HasPosts);

        // With nothing posted a wake-up wakes nobody, and a post without one is seen by who looks.
        mailbox.Wake();
        _ = epoll.Wait(0);
        Assert.Equal(0, epoll.Wait(0));
        Assert.True(mailbox.Post(new Command(CommandKind.Walk), wake: false));
        Assert.True(mailbox.HasPosts);
        Assert.Equal(0, epoll.Wait(0));
        mailbox.Wake();
        mailbox.Wake();
        Assert.Equal(1, epoll.Wait(0));
        Assert.Equal(0, epoll.Wait(0));
    }

    [Fact]
    public void A_post_that_meets_the_consumers_last_look_wakes_it_all_the_same()
    {
        // One post at a time, made just when the consumer looks whether there is more: the moment in which a flag that is cleared
        // too late swallows a signal. The producer's pause sweeps over that moment.
        const int Posts = 300_000;
        using var mailbox = new Mailbox();
        using var epoll = new Epoll(4);
        Assert.Equal(0, epoll.Add(mailbox.EventFdNumber, Epoll.In | Epoll.EdgeTriggered, 1));
        int taken = 0;
        bool over = false;
        var producer = new Thread(() =>
        {
            for (int i = 0; i < Posts; i++)
            {
                mailbox.Post(new Command(CommandKind.Walk, Number: i));
                while (Volatile.Read(ref taken) <= i && !Volatile.Read(ref over))
                {
                    Thread.SpinWait(1);
                }

                Thread.SpinWait(i % 50);
            }
        });
        producer.Start();
        try
        {
            while (taken < Posts)
            {
                int n = epoll.Wait(10_000);
                if (n == -Errno.EINTR)
                {
                    continue;
                }

                Assert.True(n == 1, $"no wake-up with {taken} taken");
                while (mailbox.TryTake(out Command command))
                {
                    Assert.Equal(taken, command.Number);
                    Volatile.Write(ref taken, taken + 1);
                }
            }
        }
        finally
        {
            Volatile.Write(ref over, true);
            producer.Join();
        }
    }

    [Fact]
    public void Each_command_posted_is_taken_or_was_refused_also_at_the_end()
    {
        var mailbox = new Mailbox();
        int posted = 0;
        using var started = new Barrier(3);
        List<Thread> threads = [.. Enumerable.Range(0, 2).Select(_ => new Thread(() =>
        {
            started.SignalAndWait();
            for (int i = 0; i < 200_000; i++)
            {
                if (mailbox.Post(new Command(CommandKind.Adopt, i)))
                {
                    Interlocked.Increment(ref posted);
                }
            }
        }))];
        threads.ForEach(static thread => thread.Start());
        started.SignalAndWait(TestContext.Current.CancellationToken);
        int taken = 0;
        while (taken < 1000)
        {
            taken += mailbox.TryTake(out _) ? 1 : 0;
        }

        mailbox.Close();
        while (mailbox.TryTake(out _))
        {
            taken++;
        }

        mailbox.Dispose();
        threads.ForEach(static thread => thread.Join());
        Assert.Equal(posted, taken);
        Assert.False(mailbox.Post(new Command(CommandKind.Stop)));
    }

    /// <summary>Sleeps whenever the queue is empty, so a lost wake-up is a wait that times out. The number of wake-ups.</summary>
    private static int TakeAll(Mailbox mailbox, Epoll epoll, int producers, int posts)
    {
        var next = new int[producers];
        int taken = 0;
        int signals = 0;
        while (taken < producers * posts)
        {
            int n = epoll.Wait(10_000);
            if (n == -Errno.EINTR)
            {
                continue;
            }

            Assert.True(n == 1, $"no wake-up with {taken} taken, {mailbox.Count} waiting");
            signals++;
            while (mailbox.TryTake(out Command command))
            {
                Assert.Equal(next[command.Fd]++, command.Number);
                taken++;
            }
        }

        return signals;
    }
}
