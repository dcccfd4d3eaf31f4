using C10kServer.Clients.Kinds;

namespace C10kServer.Clients;

/// <summary>One of the behaviours that <c>mix</c> draws from.</summary>
/// <param name="Share">Its share of the connections, in percent where all kinds are drawn from.</param>
/// <param name="Make">Makes a connection of it, whose particulars are drawn from the random numbers given.</param>
/// <param name="DidWell">Whether a connection that has ended did all of it: what the server cut short did not.</param>
internal sealed record MixKind(string Name, int Share, Func<Fleet, int, Random, MixOptions, Client> Make, Func<Client, bool> DidWell)
{
    // So short that a connection of each kind is over within seconds: many of them are what tries a server.
    private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(100);
    private const int Piece = 4096;

    public static readonly IReadOnlyList<MixKind> All =
    [
        new("echo", 40,
            (fleet, i, random, _) => new Talker(fleet, i, random.Next(2, 12), UpTo(random, 14), LongestPause, random),
            client => client.Behaved),
        new("half-close", 15,
            (fleet, i, random, _) =>
            {
                int size = UpTo(random, 20);
                return new HalfCloser(fleet, i, size, size);
            },
            client => client.Behaved),

        // Every other one goes while the server has yet to see it or to answer, the rest in the midst of the answer.
        new("reset", 15,
            (fleet, i, random, _) =>
            {
                int size = UpTo(random, 18);
                return new Resetter(fleet, i, size, random.Next(2) == 0 ? 0 : random.Next(1, size + 1));
            },
            client => client.Behaved),
        new("slow-read", 10,
            (fleet, i, random, _) => new SlowReader(fleet, i, UpTo(random, 18), Pause(random), Piece),
            HasAll),
        new("slow-write", 10,
            (fleet, i, random, _) => new SlowWriter(fleet, i, random.Next(2, 40), Pause(random)),
            HasAll),
        new("garbage", 5,
            (fleet, i, random, _) => new GarbageSender(fleet, i, UpTo(random, 16), random.Next()),
            client => client.Outcome == Outcome.Closed),
        new("vanish", 5,
            (fleet, i, random, options) =>
                new Vanisher(fleet, i, UpTo(random, 12), TimeSpan.FromSeconds(0.5) + (options.Silence * random.NextDouble())),
            client => client.Behaved),
    ];

    // As many small ones as large ones: each power of two is as likely as the next.
    private static int UpTo(Random random, int bits) => random.Next(1, (1 << random.Next(1, bits + 1)) + 1);

    private static TimeSpan Pause(Random random) => LongestPause * Math.Max(0.05, random.NextDouble());

    private static bool HasAll(Client client)
        => client.Outcome == Outcome.Closed && client.Received == client.Goal && client.Sent == client.Goal && !client.HasWrongBytes;
}
