using System.Management.Automation;

namespace C10kServer.Parameters;

/// <summary>Checks the name of a new server. It must be possible to type and to show the name, and the name must not be a pattern.</summary>
[AttributeUsage(AttributeTargets.Property | AttributeTargets.Field)]
public sealed class ServerNameAttribute : ValidateArgumentsAttribute
{
    private const int Longest = 64;

    /// <summary>Throws if the name is not valid.</summary>
    /// <param name="arguments">The name.</param>
    /// <param name="engineIntrinsics">Not used.</param>
    protected override void Validate(object arguments, EngineIntrinsics engineIntrinsics)
    {
        string? name = arguments as string;
        if (string.IsNullOrWhiteSpace(name) || name.Length > Longest || !Engine.SafeText.IsPlain(name)
            || name.AsSpan().IndexOfAny("*?[]`") >= 0)
        {
            throw new ValidationMetadataException(
                $"A server's name has 1 to {Longest} characters, and none of the wildcards * ? [ ] and `, no control character and no invisible one. " +
                "Without -Name it is called C10k1, C10k2, …");
        }
    }
}
