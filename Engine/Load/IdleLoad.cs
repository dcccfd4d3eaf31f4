namespace C10kServer.Engine.Load;

/// <summary>Connections that are held without any traffic until the duration ends. Then each connection echoes once.</summary>
internal sealed class IdleLoad(LoadOptions options) : LoadLoop(options)
{
    // How many echoes run at a time. The bound is there so that the latency is that of a request among a few others, and not that of a stampede.
    private const int Window = 128;

    protected override void Load()
    {
        ConnectAll();
        ReadClock();
        Begun = Now;
        long end = Now + ToNanoseconds(Options.Duration);
        Enter(LoadPhase.Holding, end);
        while (!IsStopped && OpenCount > 0 && Now < end)
        {
            Turn(end);
        }

        SendingBegun = Now;
        Enter(LoadPhase.Sending, Never);
        int next = 0;
        while (!IsStopped && (next < Connections.Length || InFlight > 0))
        {
            while (next < Connections.Length && InFlight < Window)
            {
                LoadConnection connection = Connections[next++];
                if (connection.State == LoadConnection.Condition.Open)
                {
                    ReadClock();
                    Issue(connection, 1, Now);
                    Flush(connection);
                }
            }

            if (InFlight > 0)
            {
                Turn(Never);
            }
        }

        SendingEnded = Now;
    }
}
