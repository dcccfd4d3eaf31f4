using System.Globalization;
using System.Management.Automation;
using System.Text.RegularExpressions;

namespace C10kServer.Parameters;

/// <summary>Why a cmdlet cannot act on an object that it was given.</summary>
internal sealed partial record TargetProblem(bool IsCopy, string Message)
{
    /// <summary>Tells this module's objects, copies of them and all other objects apart.</summary>
    /// <param name="value">The object, in the shell's wrapping if it has one.</param>
    /// <param name="wanted">What it is not.</param>
    /// <param name="forOwn">What to do with another object of this module.</param>
    /// <param name="forOthers">What to give instead of an object that has nothing to do with this module.</param>
    internal static TargetProblem For(object? value, string wanted, string forOwn, string forOthers)
    {
        if (CopiedType(value) is string copied)
        {
            return new TargetProblem(
                true,
                $"This is a copy of a {copied}, from another process, a file or Select-Object, and what has its Id here may be another {wanted}. " +
                "Act where it came from (Invoke-Command), or give its Id as -Id if you know that it is meant.");
        }

        object? bare = Argument.Unwrap(value);
        if (bare is Server or Connection or LiveConnection or Worker or Sample or LogRecord)
        {
            return new TargetProblem(false, $"A {bare.GetType().Name} was given where a {wanted} is wanted. {forOwn}");
        }

        string what = bare switch
        {
            null or "" => "Nothing",
            string text => $"The text '{DisplayText.Text(text)}'",
            _ when bare.GetType().IsPrimitive => $"The number {Convert.ToString(bare, CultureInfo.InvariantCulture)}",

            // The type alone: an object of anybody's may throw when it is asked for its text.
            _ => $"An object of the type {bare.GetType().FullName}",
        };
        return new TargetProblem(false, $"{what} was given where a {wanted} is wanted. {forOthers}");
    }

    // What PowerShell puts before the type of what comes from another process or a file, of what Select-Object makes, and of a row of a CSV file.
    [GeneratedRegex(@"^(?:Deserialized\.|Selected\.|CSV:(?:Selected\.)?)C10kServer\.(\w+)")]
    private static partial Regex CopyName { get; }

    private static string? CopiedType(object? value) =>
        value is PSObject wrapped
            ? wrapped.TypeNames.Select(name => CopyName.Match(name)).FirstOrDefault(match => match.Success)?.Groups[1].Value
            : null;
}
