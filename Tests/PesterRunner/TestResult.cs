namespace C10kServer.PesterTests;

/// <summary>A line of the runner's result file.</summary>
internal sealed record TestResult(string File, int Index, int Line, string Name, string Outcome, string Message);
