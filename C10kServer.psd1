@{
    RootModule           = 'C10kServer.psm1'
    ModuleVersion        = '0.1.0'
    GUID                 = '5b1f6f0e-93e7-4f0b-9a55-1f0c7a5d2c10'
    Author               = 'the C10kServer contributors'
    CompanyName          = 'C10kServer'
    Copyright            = '(c) the C10kServer contributors. MIT License.'
    Description          = 'TCP servers inside PowerShell on Linux: ten thousand connections held by an epoll worker pool, started, inspected and closed through the pipeline.'
    PowerShellVersion    = '7.6'
    CompatiblePSEditions = @('Core')
    FormatsToProcess     = @('Formats/C10kServer.format.ps1xml')
    TypesToProcess       = @('Formats/C10kServer.types.ps1xml')
    CmdletsToExport      = @(
        'Close-C10kConnection'
        'Get-C10kConnection'
        'Get-C10kServer'
        'Get-C10kWorker'
        'Invoke-C10kLoad'
        'Start-C10kServer'
        'Stop-C10kServer'
    )
    FunctionsToExport    = @()
    VariablesToExport    = @()
    AliasesToExport      = @()
    PrivateData          = @{
        PSData = @{
            Tags = @('Linux', 'TCP', 'server', 'epoll', 'testing', 'PSEdition_Core')
        }
    }
}
