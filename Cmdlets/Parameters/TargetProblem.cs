using System.Globalization;
using System.Management.Automation;
using System.Text.RegularExpressions;

namespace C10kServer.Parameters;

/// <summary>The reason why a cmdlet cannot act on an object that it was given.</summary>
internal sealed partial record TargetProblem(bool IsCopy, string Message)
{
    /// <summary>Makes the message for an object. Objects of this module, copies of them and all other objects get different messages.</summary>
    /// <param name="value">The object, in the shell's wrapping if it has one.</param>
    /// <param name="wanted">The kind of object that is wanted.</param>
    /// <param name="forOwn">What to do with an object of this module that is of another kind.</param>
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

            // Only the type is named, because a foreign object may throw an exception when its text is read.
            _ => $"An object of the type {bare.GetType().FullName}",
        };
        return new TargetProblem(false, $"{what} was given where a {wanted} is wanted. {forOthers}");
    }

    // PowerShell puts these prefixes before the type's name: for an object from another process or a file, for an object that Select-Object
    // makes, and for a row of a CSV file.
    [GeneratedRegex(@"^(?:Deserialized\.|Selected\.|CSV:(?:Selected\.)?)C10kServer\.(\w+)")]
    private static partial Regex CopyName { get; }

    private static string? CopiedType(object? value) =>
        value is PSObject wrapped
            ? wrapped.TypeNames.Select(name => CopyName.Match(name)).FirstOrDefault(match => match.Success)?.Groups[1].Value
            : null;
}
