# Loads the cmdlets, the types and the views, and hooks removal; everything else is in C#.

# A published module has machine code for Linux on two processors beside the IL; a build in place has machine code for its own alone.
$folder = "$PSScriptRoot/bin"
if ($IsLinux) {
    $own = "$folder/linux-$([System.Runtime.InteropServices.RuntimeInformation]::ProcessArchitecture.ToString().ToLowerInvariant())"
    if ([System.IO.Directory]::Exists($own)) { $folder = $own }
}

$assembly = "$folder/C10kServer.Cmdlets.dll"
if (-not [System.IO.File]::Exists($assembly)) {
    throw [System.IO.FileNotFoundException]::new(
        "C10kServer is not built yet: $assembly is missing. Run 'dotnet build' in $PSScriptRoot, then import the module again.", $assembly)
}

# The process cannot unload an assembly. What is loaded already says whether it can serve this import too.
$loaded = 'C10kServer.ModuleLifetime' -as [type]
if ($loaded) {
    $refusal = $loaded::RefuseImport($PSScriptRoot, $folder)
    if ($refusal) { throw [System.InvalidOperationException]::new($refusal) }
}

Import-Module -Name $assembly

# PowerShell's tables of types and views are shared by the runspaces of a pool, and not safe for imports at the same time.
try {
    if ([C10kServer.ModuleLifetime]::BeginViews($PSScriptRoot)) { Import-Module -Name "$PSScriptRoot/Formats/C10kServer.Formats.psd1" }
} finally {
    [C10kServer.ModuleLifetime]::EndViews()
}

# The assembly is told too where it was loaded as a module itself; whichever comes second finds nothing left to stop.
$ExecutionContext.SessionState.Module.OnRemove = { [C10kServer.ModuleLifetime]::new().OnRemove($null) }
