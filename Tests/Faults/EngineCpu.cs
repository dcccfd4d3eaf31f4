using C10kServer.Engine.Native;

namespace C10kServer.Faults.Tests;

/// <summary>CPU time of one of the engine's threads, found by its name.</summary>
internal sealed class EngineCpu
{
    private readonly int _threadId;

    private EngineCpu(int threadId) => _threadId = threadId;

    /// <summary>The acceptor of the one server that runs.</summary>
    internal static EngineCpu Acceptor()
    {
        string[] found = [.. Directory.GetDirectories("/proc/self/task").Where(static task =>
            File.ReadAllText($"{task}/comm").StartsWith("c10k f accept", StringComparison.Ordinal))];
        return new EngineCpu(int.Parse(Path.GetFileName(Assert.Single(found)), System.Globalization.CultureInfo.InvariantCulture));
    }

    internal TimeSpan Time() => KernelThread.CpuTime(_threadId);
}
