namespace C10kServer.Commands;

/// <summary>The options that a server is started with and that can be changed while it runs. Two cmdlets have them as parameters.</summary>
internal static class LiveOptions
{
    /// <summary>Replaces the options that were given as parameters. The other options stay as they are.</summary>
    internal static Engine.ServerOptions Apply(Engine.ServerOptions options, IReadOnlyDictionary<string, object> given)
    {
        return options with
        {
            WorkerCount = Given(nameof(SetC10kServerCommand.WorkerCount), options.WorkerCount),
            MaxConnections = Given(nameof(SetC10kServerCommand.MaxConnection), options.MaxConnections),
            MaxConnectionsPerAddress = Given(nameof(SetC10kServerCommand.MaxConnectionPerAddress), options.MaxConnectionsPerAddress),
            AcceptRate = Given(nameof(SetC10kServerCommand.AcceptRate), options.AcceptRate),
            Dispatch = (Engine.DispatchMode)Given(nameof(SetC10kServerCommand.Dispatch), (DispatchMode)options.Dispatch),
            IdleTimeout = Given(nameof(SetC10kServerCommand.IdleTimeout), new Duration(options.IdleTimeout)),
            HandshakeTimeout = Given(nameof(SetC10kServerCommand.HandshakeTimeout), new Duration(options.HandshakeTimeout)),
            LingerTimeout = Given(nameof(SetC10kServerCommand.LingerTimeout), new Duration(options.LingerTimeout)),
            WriteTimeout = Given(nameof(SetC10kServerCommand.WriteTimeout), new Duration(options.WriteTimeout)),
            HighWaterMark = Given(nameof(SetC10kServerCommand.HighWaterMark), options.HighWaterMark),
            MaxSendQueue = Given(nameof(SetC10kServerCommand.MaxSendQueue), options.MaxSendQueue),
            BusyPoll = TimeSpan.FromMicroseconds(Given(nameof(SetC10kServerCommand.BusyPoll), (int)options.BusyPoll.TotalMicroseconds)),
        };

        T Given<T>(string parameter, T now) => given.TryGetValue(parameter, out object? value) ? (T)value : now;
    }
}
