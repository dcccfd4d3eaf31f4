using System.Management.Automation;

namespace C10kServer.Parameters;

/// <summary>What is told from other objects in the pipeline: those of this module, and their copies.</summary>
internal static class OwnObjects
{
    // What the shell puts before the type of what comes from a file, a job or another machine.
    private const string CopyPrefix = "Deserialized.";

    internal static bool IsOwn(object? value) => value is Server or Connection or Worker or Sample or LogRecord or LiveConnection;

    /// <summary>A copy is a picture: what has its Id here may be another.</summary>
    /// <exception cref="ArgumentTransformationMetadataException">It is a copy of one of this module's objects.</exception>
    internal static void RefuseCopy(object? value)
    {
        if (value is PSObject wrapped
            && wrapped.TypeNames.FirstOrDefault(name => name.StartsWith($"{CopyPrefix}C10kServer.", StringComparison.Ordinal)) is string type)
        {
            throw new ArgumentTransformationMetadataException(
                $"This is a copy of a {type.Split('.')[^1].Split('#')[0]}, from a file, a job or another machine, and what has its Id here may be " +
                "another one. Act where it came from (Invoke-Command), or give its Id as -Id if you know that it is meant.");
        }
    }
}
