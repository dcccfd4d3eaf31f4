namespace C10kServer.Benchmark;

/// <summary>A server that is measured.</summary>
/// <param name="Name">What tables call it.</param>
/// <param name="Start">Starts one, on the processors of the calling thread.</param>
internal sealed record Contestant(string Name, Func<ServerProcess> Start)
{
    internal const string ModuleName = "C10kServer";
    internal const string ReferenceName = "C reference";
    internal const string SocketName = "SocketAsyncEventArgs";
    internal const string KestrelName = "Kestrel";

    /// <summary>The module in a shell.</summary>
    /// <param name="options">Parameters of Start-C10kServer.</param>
    internal static Contestant Module(string options, string name = ModuleName) => new(name, () => ServerProcess.InShell(name, options));

    internal static Contestant Of(Reference reference, int workers) =>
        new(ReferenceName, () => ServerProcess.OnPort(ReferenceName, port => [reference.Program, "-p", $"{port}", "-w", $"{workers}"]));

    internal static Contestant Socket { get; } =
        new(SocketName, static () => ServerProcess.OnPort(SocketName, static port => [.. Programs.Self, "serve-socket", $"{port}"]));

    internal static Contestant Kestrel { get; } =
        new(KestrelName, static () => ServerProcess.OnPort(KestrelName, static port => [.. Programs.Self, "serve-kestrel", $"{port}"]));
}
