using System.Management.Automation;
using System.Net;

namespace C10kServer.Parameters;

/// <summary>
/// Makes a <see cref="ListenAddress"/> from a user's value. PowerShell finds and calls the converter wherever the value is bound.
/// </summary>
public sealed class ListenAddressConverter : PSTypeConverter
{
    // PowerShell puts "Deserialized." before the type's name when an object comes from another process or a file.
    private const string CopyName = "Deserialized.C10kServer.ListenAddress";

    /// <summary>
    /// Always true. For a value that cannot be read, <see cref="ConvertFrom(object, Type, IFormatProvider, bool)"/> throws an error.
    /// </summary>
    /// <param name="sourceValue">The value.</param>
    /// <param name="destinationType">Not used.</param>
    /// <returns>True, so that the error comes from this converter.</returns>
    public override bool CanConvertFrom(object sourceValue, Type destinationType) => true;

    /// <inheritdoc cref="CanConvertFrom(object, Type)"/>
    public override bool CanConvertFrom(PSObject sourceValue, Type destinationType) => true;

    /// <summary>Reads an address.</summary>
    /// <param name="sourceValue">The value.</param>
    /// <param name="destinationType">Not used.</param>
    /// <param name="formatProvider">Not used: an address is read the same way in every culture.</param>
    /// <param name="ignoreCase">Not used.</param>
    /// <returns>A ListenAddress.</returns>
    /// <exception cref="PSInvalidCastException">The value is not an address; the message says what an address is.</exception>
    public override object ConvertFrom(object sourceValue, Type destinationType, IFormatProvider formatProvider, bool ignoreCase) =>
        Argument.Unwrap(sourceValue) switch
        {
            ListenAddress address => address,
            IPAddress address => new ListenAddress(address),
            string text when Parse(text.Trim()) is IPAddress address => new ListenAddress(address),
            _ when sourceValue is PSObject copy && copy.TypeNames.Contains(CopyName) && Parse(copy.ToString()) is IPAddress address =>
                new ListenAddress(address),
            _ => throw new PSInvalidCastException(
                $"'{sourceValue}' is not an IP address. Give all four parts of an IPv4 address (127.0.0.1; 0.0.0.0 is every interface), an IPv6 " +
                "address (::1, fe80::1%eth0) or localhost, which is 127.0.0.1. Other names are not looked up."),
        };

    /// <inheritdoc cref="ConvertFrom(object, Type, IFormatProvider, bool)"/>
    public override object ConvertFrom(PSObject sourceValue, Type destinationType, IFormatProvider formatProvider, bool ignoreCase) =>
        ConvertFrom((object)sourceValue, destinationType, formatProvider, ignoreCase);

    /// <summary>Always false. The cast to IPAddress does not need a converter.</summary>
    /// <param name="sourceValue">The address.</param>
    /// <param name="destinationType">The type.</param>
    /// <returns>False.</returns>
    public override bool CanConvertTo(object sourceValue, Type destinationType) => false;

    /// <summary>Not supported, and never called.</summary>
    /// <param name="sourceValue">The address.</param>
    /// <param name="destinationType">The type.</param>
    /// <param name="formatProvider">Not used.</param>
    /// <param name="ignoreCase">Not used.</param>
    /// <returns>Nothing.</returns>
    /// <exception cref="NotSupportedException">Always.</exception>
    public override object ConvertTo(object sourceValue, Type destinationType, IFormatProvider formatProvider, bool ignoreCase) =>
        throw new NotSupportedException();

    private static IPAddress? Parse(string text) =>
        text.Equals("localhost", StringComparison.OrdinalIgnoreCase) ? IPAddress.Loopback : AddressText.Parse(text);
}
