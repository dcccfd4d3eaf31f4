using System.Management.Automation;

namespace C10kServer.Parameters;

/// <summary>Makes a target from any object. PowerShell finds and calls the converter wherever the object is bound.</summary>
/// <remarks>
/// If the conversion failed, PowerShell would leave the object of the pipeline unbound, and would report it with a message that names neither
/// the object nor the kind of object that is wanted.
/// </remarks>
public sealed class TargetConverter : PSTypeConverter
{
    /// <summary>Whether a target can be made. It always can.</summary>
    /// <param name="sourceValue">The object.</param>
    /// <param name="destinationType">The type of the target.</param>
    /// <returns>True.</returns>
    public override bool CanConvertFrom(object sourceValue, Type destinationType) => true;

    /// <inheritdoc cref="CanConvertFrom(object, Type)"/>
    public override bool CanConvertFrom(PSObject sourceValue, Type destinationType) => true;

    /// <summary>Makes a target.</summary>
    /// <param name="sourceValue">The object.</param>
    /// <param name="destinationType">The type of the target.</param>
    /// <param name="formatProvider">Not used.</param>
    /// <param name="ignoreCase">Not used.</param>
    /// <returns>The target.</returns>
    public override object ConvertFrom(object sourceValue, Type destinationType, IFormatProvider formatProvider, bool ignoreCase) =>
        destinationType == typeof(ServerTarget) ? new ServerTarget(sourceValue) : new ConnectionTarget(sourceValue);

    /// <summary>Makes a target from an object in the shell's wrapping. The wrapping shows whether the object is a copy.</summary>
    /// <inheritdoc cref="ConvertFrom(object, Type, IFormatProvider, bool)"/>
    public override object ConvertFrom(PSObject sourceValue, Type destinationType, IFormatProvider formatProvider, bool ignoreCase) =>
        ConvertFrom((object)sourceValue, destinationType, formatProvider, ignoreCase);

    /// <summary>Whether a target can be converted to another type. It never can.</summary>
    /// <param name="sourceValue">The target.</param>
    /// <param name="destinationType">The type.</param>
    /// <returns>False.</returns>
    public override bool CanConvertTo(object sourceValue, Type destinationType) => false;

    /// <summary>Not supported, and never called.</summary>
    /// <param name="sourceValue">The target.</param>
    /// <param name="destinationType">The type.</param>
    /// <param name="formatProvider">Not used.</param>
    /// <param name="ignoreCase">Not used.</param>
    /// <returns>Nothing.</returns>
    /// <exception cref="NotSupportedException">Always.</exception>
    public override object ConvertTo(object sourceValue, Type destinationType, IFormatProvider formatProvider, bool ignoreCase) =>
        throw new NotSupportedException();
}
