namespace C10kServer.Benchmark;

/// <summary>The yardstick: the engine's architecture in C, with nothing else in it.</summary>
/// <param name="Program">The compiled program.</param>
/// <param name="Compiler">What compiled it, in its own words.</param>
internal sealed record Reference(string Program, string Compiler)
{
    /// <summary>Compiles it. Null without a compiler.</summary>
    internal static Reference? Compile()
    {
        string folder = Path.Combine(Programs.RepositoryRoot, "Tests/Benchmark");
        string program = Path.Combine(folder, "obj/epoll_echo");
        foreach (string compiler in (string[])["gcc", "cc"])
        {
            if (Programs.Ask(compiler, "--version") is { } version)
            {
                return Programs.Ask(compiler, "-O2", "-pthread", "-o", program, Path.Combine(folder, "Reference/epoll_echo.c")) is not null
                    ? new Reference(program, version.Split('\n')[0])
                    : throw new InvalidOperationException($"{compiler} does not compile Tests/Benchmark/Reference/epoll_echo.c.");
            }
        }

        return null;
    }
}
