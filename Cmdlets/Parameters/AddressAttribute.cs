using System.Management.Automation;
using System.Net;

namespace C10kServer.Parameters;

/// <summary>Reads addresses to listen on: IPAddress objects, full dotted quads, IPv6 addresses. Names are not looked up.</summary>
[AttributeUsage(AttributeTargets.Property | AttributeTargets.Field)]
public sealed class AddressAttribute : ArgumentTransformationAttribute
{
    /// <summary>Takes one address, and no array of them.</summary>
    public bool OnlyOne { get; set; }

    /// <summary>Turns what was given into addresses.</summary>
    /// <param name="engineIntrinsics">Not used.</param>
    /// <param name="inputData">What was given.</param>
    /// <returns>An array of IPAddress, or one of them.</returns>
    public override object Transform(EngineIntrinsics engineIntrinsics, object inputData) =>
        OnlyOne ? Read(inputData) : Argument.Each(inputData).Select(Read).ToArray();

    private static IPAddress Read(object? value) => Argument.Unwrap(value) switch
    {
        IPAddress address => address,
        string text when AddressText.Parse(text.Trim()) is IPAddress address => address,
        string text when text.Trim().Equals("localhost", StringComparison.OrdinalIgnoreCase) =>
            throw new ArgumentTransformationMetadataException(
                "'localhost' is a name, not an address. Give 127.0.0.1 for IPv4, ::1 for IPv6, or both: 127.0.0.1, ::1."),
        _ => throw new ArgumentTransformationMetadataException(
            $"'{value}' is no IP address. Give all four parts of an IPv4 address (127.0.0.1; 0.0.0.0 is every interface) " +
            "or an IPv6 address (::1, fe80::1%eth0)."),
    };
}
